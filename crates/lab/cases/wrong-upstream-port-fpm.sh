# about: PHP-FPM listens on a port of its own, the site names the customary 9000
# expect: wrong-upstream-port
# forbid: backend-not-running, protocol-mismatch
# peer: 127.0.0.1:9000
# status: 502
# log: 111: Connection refused.*fastcgi://127.0.0.1:9000
LOG=timing
setup() {
  pool clinic 127.0.0.1:9074 'pm = static' 'pm.max_children = 2'
  php
  php_to clinic 127.0.0.1:9000
  start_nginx
}
drive() { get / 3; get /index.php 3; }
