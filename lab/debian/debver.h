/*
 * debver.h - the order of Debian package versions: [epoch:]upstream[-revision].
 *
 * Pure. Works on any text; what is not a version still has a place in a total order.
 */
#ifndef LAB_DEBVER_H
#define LAB_DEBVER_H

/* <0, 0 or >0, as deb-version(7) orders a and b. */
int debver_compare(const char *a, const char *b);

#endif
