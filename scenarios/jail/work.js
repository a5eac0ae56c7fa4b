// What ordinary Node.js programs do: threads (libuv's, workers), processes, files.
const {Worker} = require('worker_threads');
const {execFile} = require('child_process');
const fs = require('fs');

new Worker('require("worker_threads").parentPort.postMessage(6 * 7)', {eval: true}).on('message', n => {
	execFile('/bin/sh', ['-c', 'echo 42 | cat'], (error, stdout) => {
		fs.writeFileSync('/tmp/node', 'text');
		fs.readFile('/tmp/node', 'utf8', (e, text) => console.log(`${process.argv[2]}: thread ${n}, ` +
			`process ${error ? error.message : stdout.trim()}, file ${e ? e.message : text}`));
	});
});
