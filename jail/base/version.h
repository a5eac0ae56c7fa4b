/*
 * version.h - the project's version: one number for both programs.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define PROJECT_VERSION "0.1"

#endif
