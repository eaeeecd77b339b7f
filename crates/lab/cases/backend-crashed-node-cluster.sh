# about: the workers of a Node cluster die on one page and are forked anew; the service itself was started just before
# expect: backend-crashed
# forbid: backend-restarting, backend-aborts-request
# peer: 127.0.0.1:8310
# status: 502
setup() {
  cat > /srv/cluster.js <<'JS'
const cluster = require('cluster')
if (cluster.isPrimary) {
  cluster.on('exit', () => cluster.fork())
  for (let i = 0; i < 2; i++) cluster.fork()
} else {
  require('http').createServer((request, response) => {
    if (request.url === '/basket') setImmediate(() => null.total)
    else response.end('ok\n')
  }).listen(8310, '127.0.0.1')
}
JS
  daemon basket '/usr/bin/node /srv/cluster.js' User=www-data
  listening 127.0.0.1:8310
  proxy_to basket http://127.0.0.1:8310
  start_nginx
  get / 5
}
drive() { get /basket 2; sleep 0.4; get / 5; get /basket 2; sleep 0.4; get / 3; }
