# about: a PHP page takes longer than fastcgi_read_timeout while most of its pool's children have nothing to do
# expect: backend-slow
# forbid: php-fpm-pool-exhausted, backend-hung, backend-worker-timeout
# peer: unix:/run/php/archive.sock
# status: 504
# log: 110: Connection timed out\) while reading response header
setup() {
  pool archive /run/php/archive.sock 'pm = static' 'pm.max_children = 8'
  php
  php_to archive unix:/run/php/archive.sock 'fastcgi_read_timeout 1s;'
  start_nginx
  get / 6
}
drive() { get '/wait.php?s=2' 3; get / 6; }
