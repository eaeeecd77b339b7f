# about: the site dials the distribution's default socket, its pool has one of its own; another pool serves another site
# expect: unix-socket-wrong-path
# forbid: backend-not-running, unix-socket-permission
# peer: php8.2-fpm.sock
# status: 502
# log: 2: No such file or directory\) while connecting to upstream
setup() {
  pool choir /run/php/choir.sock 'pm = ondemand' 'pm.max_children = 3'
  php
  php_to choir unix:/run/php/php8.2-fpm.sock
  start_nginx
}
drive() { get /index.php 5; }
