# about: proxy_pass to an application that speaks HTTP/2 only: nginx passes its bytes on as HTTP/0.9, clients get nonsense
# expect: protocol-mismatch
# forbid: invalid-response, backend-aborts-request
# peer: 127.0.0.1:5061
# status: 000
# log: upstream sent no valid HTTP/1.0 header
setup() {
  mkdir -p /srv/stock
  echo "require('http2').createServer((request, response) => response.end('ok')).listen(5061, '127.0.0.1')" > /srv/stock/stock.js
  daemon stock '/usr/bin/node /srv/stock/stock.js'
  listening 127.0.0.1:5061
  proxy_to stock http://127.0.0.1:5061
  start_nginx
}
drive() { get / 4; }
