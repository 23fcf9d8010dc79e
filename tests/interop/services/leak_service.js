// SPDX-License-Identifier: Apache-2.0
//
// The leaking service for Node: node:http, and a timer that leaks when it is told to: one LeakedChunk
// after the other into an array on the V8 heap, or Buffers beside it (kind=native). See README.md.
'use strict';
const http = require('node:http');

const CHUNK_BYTES = 65536;

class LeakedChunk {
	constructor(number) {
		this.number = number;
		this.data = new Array(CHUNK_BYTES / 8).fill(number + 0.5); // doubles, unboxed
	}
}

const chunks = [];
const blocks = [];
let count = 0;
let timer;

function leakOne(kind) {
	if (kind === 'native')
		blocks.push(Buffer.alloc(CHUNK_BYTES, 0xa5));
	else
		chunks.push(new LeakedChunk(count));
	count++;
	process.stdout.write(`leaked ${count} at ${process.hrtime.bigint()}\n`);
}

// A pause per chunk, not a schedule: what stood still does not hurry afterwards.
function start(kind, rate) {
	clearInterval(timer);
	timer = setInterval(() => leakOne(kind), (CHUNK_BYTES / (rate * 1e6)) * 1000);
}

const server = http.createServer((request, response) => {
	const url = new URL(request.url, 'http://localhost');
	const answers = {
		'/triggerMemoryLeak': () => {
			start(url.searchParams.get('kind') ?? 'managed', Number(url.searchParams.get('rate') ?? 50));
			return 'leaking\n';
		},
		'/stop': () => {
			clearInterval(timer);
			if (url.searchParams.get('free') === '1') {
				chunks.length = 0;
				blocks.length = 0;
				count = 0;
			}
			return 'stopped\n';
		},
		'/count': () => `${count}\n`,
		'/healthz': () => {
			globalThis.gc?.(); // with --expose-gc
			return 'ok\n';
		},
	};
	const answer = answers[url.pathname];
	response.writeHead(answer ? 200 : 404);
	response.end(answer ? answer() : 'no such path\n');
});
server.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
