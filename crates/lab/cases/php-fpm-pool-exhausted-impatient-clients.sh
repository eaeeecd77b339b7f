# about: both children are busy and clients wait less than a second: the log has 499 alone, for / and its index
# expect: php-fpm-pool-exhausted
# forbid: client-aborted, backend-hung
# peer: unix:/run/php/bakery.sock
# status: 000
setup() {
  pool bakery /run/php/bakery.sock 'pm = static' 'pm.max_children = 2'
  php
  php_to bakery unix:/run/php/bakery.sock
  start_nginx
  get / 5
}
drive() { hold '/wait.php?s=20' 6; sleep 0.4; MAX=0.6 get / 5; }
