# about: pm = dynamic on TCP: all three children answer long requests, the others wait until nginx gives up
# expect: php-fpm-pool-exhausted
# forbid: backend-hung, listen-queue-overflow, backend-worker-timeout
# peer: [::1]:9077
# status: 504
# log: reached pm.max_children setting \(3\)
MAX=4
setup() {
  pool orders '[::1]:9077' 'pm = dynamic' 'pm.max_children = 3' 'pm.start_servers = 1' 'pm.min_spare_servers = 1' 'pm.max_spare_servers = 2'
  php
  php_to orders '[::1]:9077' 'fastcgi_read_timeout 2s;'
  start_nginx
  get / 5
}
drive() { hold '/wait.php?s=9' 5; sleep 2.2; together / 4; hold '/wait.php?s=9' 3; sleep 0.3; }
