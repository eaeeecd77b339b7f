# about: two children, a short queue and a crowd: read timeouts, and EAGAIN once the queue of the unix socket is full
# expect: php-fpm-pool-exhausted
# forbid: backend-hung, backend-slow, backend-not-running
# peer: unix:/run/php/cinema.sock
# status: 502, 504
# log: 11: Resource temporarily unavailable\) while connecting to upstream
# fix: yes
MAX=4
setup() {
  pool cinema /run/php/cinema.sock 'pm = static' 'pm.max_children = 2' 'listen.backlog = 4'
  php
  php_to cinema unix:/run/php/cinema.sock 'fastcgi_read_timeout 2s;'
  start_nginx
  get / 5
}
drive() { together '/wait.php?s=1.5' 24; hold '/wait.php?s=8' 5; sleep 0.5; get / 1; }
check() { served '/wait.php?s=0.2'; }
