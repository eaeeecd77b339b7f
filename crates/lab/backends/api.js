// A Node.js API that misbehaves as its paths say. Its argument is PORT, HOST:PORT, [IPV6]:PORT or /PATH.
//   /wait/S   answers after S seconds       /spin/S    keeps the event loop busy for S seconds
//   /throw    an uncaught exception         /grow/MB   takes memory and keeps it
//   /destroy  drops the connection          /status/N  answers with that status           anything else: 200
'use strict'
const http = require('http')
const kept = []

const server = http.createServer((request, response) => {
  const [, what, number = '1'] = request.url.split('?')[0].split('/')
  const answer = (status = 200) => { response.writeHead(status, { 'Content-Type': 'application/json' }); response.end('{"ok":true}\n') }
  switch (what) {
    case 'wait': return setTimeout(answer, 1000 * number)
    case 'spin': for (const end = Date.now() + 1000 * number; Date.now() < end;); return answer()
    case 'throw': return setImmediate(() => answer(request.session.user.id))
    case 'grow': kept.push(Buffer.alloc(number << 20, 1)); return answer()
    case 'destroy': console.error('export refused: nobody is signed in'); return request.socket.destroy()
    case 'status': return answer(+number)
    default: return answer()
  }
})

const [, host, port] = /^(?:\[?(.*?)\]?:)?(\d+)$/.exec(process.argv[2]) || []
server.listen(port ? { host, port } : { path: process.argv[2], writableAll: true }, () => console.log('ready'))
