# about: listen.allowed_clients of the pool names another machine, so PHP-FPM hangs up on this one
# expect: backend-access-denied
# forbid: backend-aborts-request, backend-crashed
# peer: 127.0.0.1:9091
# status: 502
# log: (prematurely closed connection|104: Connection reset by peer\)) while reading response header
setup() {
  pool lodge 127.0.0.1:9091 'pm = static' 'pm.max_children = 2' 'listen.allowed_clients = 192.0.2.7'
  php
  php_to lodge 127.0.0.1:9091
  start_nginx
}
drive() { get / 5; }
