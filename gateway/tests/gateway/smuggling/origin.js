// An origin on Node: answers with method and path, and keeps a list of them in the file `seen`.
// Bytes it cannot read are listed too, but not connections that end within a request: the gateway
// gives a request up that way.
const fs = require('node:fs');
const http = require('node:http');

const [port, folder] = process.argv.slice(2);
const note = (line) => fs.appendFileSync(`${folder}/seen`, `${line}\n`);
const given_up = ['ECONNRESET', 'HPE_INVALID_EOF_STATE'];

const server = http.createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    const line = `${request.method} ${request.url}`;
    note(line);
    response.setHeader('content-length', Buffer.byteLength(line));
    response.end(line);
  });
});
server.on('clientError', (error, socket) => {
  if (!given_up.includes(error.code)) note(`unreadable ${error.code}`);
  socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
});
server.keepAliveTimeout = 60_000;
server.listen(Number(port), '127.0.0.1');
