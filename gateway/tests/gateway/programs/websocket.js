// WebSockets on streams of Node's HTTP/2 (RFC 8441), both ends.
//   node websocket.js PORT FOLDER        an origin that echoes
//   node websocket.js URL CA COUNT SIZE  a client that opens COUNT sockets, one message of SIZE each
'use strict';
const fs = require('node:fs');
const http2 = require('node:http2');

// One binary message, masked with zeros if a client sends it (RFC 6455 section 5.2).
function encode(data, masked) {
  const head = Buffer.alloc(10);
  head[0] = 0x82;
  head[1] = 127 | (masked ? 0x80 : 0);
  head.writeBigUInt64BE(BigInt(data.length), 2);
  return Buffer.concat([head, Buffer.alloc(masked ? 4 : 0), data]);
}

// The first message, once it is all there.
function decode(bytes) {
  if (bytes.length < 2) return null;
  const short = bytes[1] & 127;
  const wide = short === 126 ? 2 : short === 127 ? 8 : 0;
  const masks = bytes[1] & 0x80 ? 4 : 0;
  const start = 2 + wide + masks;
  if (bytes.length < start) return null;
  const length = wide === 8 ? Number(bytes.readBigUInt64BE(2)) : wide === 2 ? bytes.readUInt16BE(2) : short;
  if (bytes.length < start + length) return null;
  return bytes.subarray(start, start + length);
}

function onMessage(stream, then) {
  let bytes = Buffer.alloc(0);
  stream.on('data', (data) => {
    bytes = Buffer.concat([bytes, data]);
    const message = decode(bytes);
    if (message) then(message);
  });
}

function serve(port) {
  const server = http2.createServer({ settings: { enableConnectProtocol: true } });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') {
      stream.respond({ ':status': 200 });
      stream.end('no tunnel');
      return;
    }
    stream.respond({ ':status': 200 });
    onMessage(stream, (message) => stream.end(encode(message, false)));
  });
  server.listen(Number(port), '127.0.0.1');
}

function ask(url, ca, count, size) {
  const session = http2.connect(url, { ca: fs.readFileSync(ca) });
  session.on('error', (err) => { console.log(`error ${err.message}`); process.exit(1); });
  session.on('remoteSettings', (settings) => {
    if (!settings.enableConnectProtocol) { console.log('no tunnels'); process.exit(1); }
    let left = Number(count);
    for (let n = 0; n < Number(count); n += 1) {
      const message = Buffer.alloc(Number(size), n);
      const stream = session.request({
        ':method': 'CONNECT', ':protocol': 'websocket', ':path': `/chat/${n}`,
        'sec-websocket-version': '13',
      });
      stream.on('response', (headers) => {
        if (headers[':status'] !== 200) console.log(`status ${headers[':status']}`);
        stream.write(encode(message, true));
      });
      onMessage(stream, (back) => {
        console.log(back.equals(message) ? 'same' : 'different');
        stream.end();
        left -= 1;
        if (left === 0) session.close();
      });
    }
  });
}

const [first, second, third, fourth] = process.argv.slice(2);
if (third) ask(first, second, third, fourth);
else serve(first);
