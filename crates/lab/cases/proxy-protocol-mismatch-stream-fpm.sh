# about: fastcgi_pass leads to nginx's own stream server, which puts a PROXY header before what PHP-FPM reads
# expect: proxy-protocol-mismatch
# forbid: backend-access-denied, backend-aborts-request, backend-crashed
# status: 502
# log: (prematurely closed connection|104: Connection reset by peer\)) while
setup() {
  pool forum 127.0.0.1:9095 'pm = static' 'pm.max_children = 2'
  php
  listening 127.0.0.1:9095
  MAIN='include modules-enabled/*.conf; stream { server { listen 127.0.0.1:9096; proxy_protocol on; proxy_pass 127.0.0.1:9095; } }' nginx_conf
  touch /lab/nginx.conf
  php_to forum 127.0.0.1:9096
  start_nginx
}
drive() { get /index.php 4; }
