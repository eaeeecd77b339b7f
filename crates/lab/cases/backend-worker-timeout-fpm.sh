# about: request_terminate_timeout ends the PHP child in the middle of a long request
# expect: backend-worker-timeout
# forbid: backend-crashed, backend-slow, php-fpm-pool-exhausted
# peer: 127.0.0.1:9063
# status: 502
# log: execution timed out .*terminating
setup() {
  pool intranet 127.0.0.1:9063 'pm = dynamic' 'pm.max_children = 5' 'pm.start_servers = 2' 'pm.min_spare_servers = 1' 'pm.max_spare_servers = 3' 'request_terminate_timeout = 1s'
  php
  php_to intranet 127.0.0.1:9063
  start_nginx
  get / 4
}
drive() { together '/wait.php?s=30' 2; get / 3; }
