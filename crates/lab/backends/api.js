// A Node.js API that misbehaves as its paths say. Its argument is PORT, HOST:PORT, [IPV6]:PORT or /PATH.
//   /wait/S   answers after S seconds       /spin/S    keeps the event loop busy for S seconds
//   /throw    an uncaught exception         /grow/MB   takes memory and keeps it
//   /block/S  the same, without using the CPU, as a synchronous call of a database does
//   /destroy  drops the connection          /status/N  answers with that status
//   /upload   takes 1 MiB of a body and then drops the connection
//   /socket   a WebSocket: without the Upgrade header it drops the connection             anything else: 200
'use strict'
const http = require('http')
const kept = []

const server = http.createServer((request, response) => {
  const [, what, number = '1'] = request.url.split('?')[0].split('/')
  const answer = (status = 200) => { response.writeHead(status, { 'Content-Type': 'application/json' }); response.end('{"ok":true}\n') }
  switch (what) {
    case 'wait': return setTimeout(answer, 1000 * number)
    case 'spin': for (const end = Date.now() + 1000 * number; Date.now() < end;); return answer()
    case 'block': Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000 * number); return answer()
    case 'throw': return setImmediate(() => answer(request.session.user.id))
    case 'grow': kept.push(Buffer.alloc(number << 20, 1)); return answer()
    case 'destroy': console.error('export refused: nobody is signed in'); return request.socket.destroy()
    case 'upload': {
      let size = 0
      request.on('data', (part) => {
        size += part.length
        if (size <= 1 << 20) return
        console.error('upload refused: more than 1048576 bytes')
        request.socket.destroy()
      })
      return request.on('end', () => answer())
    }
    case 'socket': console.error('websocket: handshake without an Upgrade header'); return request.socket.destroy()
    case 'status': return answer(+number)
    default: return answer()
  }
})

server.on('upgrade', (request, socket) => {
  if (request.headers['sec-websocket-key']) return socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
  console.error('upgrade refused: no WebSocket key in the request for ' + request.url)
  socket.destroy()
})

const [, host, port] = /^(?:\[?(.*?)\]?:)?(\d+)$/.exec(process.argv[2]) || []
server.listen(port ? { host, port } : { path: process.argv[2], writableAll: true }, () => console.log('ready'))
