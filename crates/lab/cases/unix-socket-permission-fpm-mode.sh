# about: listen.mode 0600 and listen.owner root: PHP-FPM serves nobody but root
# expect: unix-socket-permission
# forbid: unix-socket-wrong-path, backend-not-running
# peer: unix:/run/php/billing.sock
# status: 502
# log: 13: Permission denied\) while connecting to upstream
# fix: yes
setup() {
  pool billing /run/php/billing.sock 'pm = ondemand' 'pm.max_children = 3'
  sed -i 's/^listen.owner.*/listen.owner = root/; s/^listen.group.*/listen.group = root/; $a listen.mode = 0600' /etc/php/8.2/fpm/pool.d/billing.conf
  php
  php_to billing unix:/run/php/billing.sock
  start_nginx
}
drive() { get / 5; }
check() { served /index.php; }
