# about: a PHP extension's bug: the child dies on a signal in the middle of a request
# expect: backend-crashed
# forbid: php-fpm-pool-exhausted, backend-worker-timeout, backend-oom-killed
# peer: unix:/run/php/press.sock
# status: 502
# log: exited on signal 11 \(SIGSEGV
setup() {
  pool press /run/php/press.sock 'pm = static' 'pm.max_children = 3'
  php
  php_to press unix:/run/php/press.sock
  echo '<?php posix_kill(posix_getpid(), 11); sleep(1);' > /srv/press/export.php
  start_nginx
  get / 4
}
drive() { get /export.php 3; get / 4; }
