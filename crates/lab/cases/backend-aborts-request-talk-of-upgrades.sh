# about: the Upgrade headers are forced, which this server does not mind; its log asks to upgrade a library near each page it drops
# expect: backend-aborts-request
# forbid: upgrade-header-mismatch
# peer: 127.0.0.1:8375
# status: 502
setup() {
  cat > /srv/prints.js <<'JS'
require('http').createServer((request, response) => {
  if (!request.url.startsWith('/export')) return response.end('ok\n')
  console.error('deprecated: please upgrade the printing library to 0.15')
  request.socket.destroy()
}).listen(8375, '127.0.0.1')
JS
  daemon prints '/usr/bin/node /srv/prints.js' User=www-data
  listening 127.0.0.1:8375
  proxy_to prints http://127.0.0.1:8375 \
    'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
  start_nginx
  get / 4
}
drive() { get /export 5; get / 6; get /export 2; }
