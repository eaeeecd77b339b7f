# about: the PHP machine moved to another address, and /etc/hosts with it; nginx has not been reloaded since
# expect: dns-stale
# forbid: backend-not-running, wrong-upstream-port, no-route-to-upstream
# peer: 10.60.0.2:9074
# status: 502
# log: 111: Connection refused\) while connecting to upstream
setup() {
  neighbour
  there ip addr add 10.60.0.3/24 dev wire1
  echo '10.60.0.2 php.intranet' >> /etc/hosts
  printf '[global]\nerror_log = /var/log/php-next.log\n[intranet]\nuser = www-data\nlisten = 10.60.0.2:9074\npm = static\npm.max_children = 2\n' > /etc/php-next.conf
  daemon php-next '/usr/sbin/php-fpm8.2 --nodaemonize --fpm-config /etc/php-next.conf' "$NEXT_DOOR"
  listening 10.60.0.2:9074
  php_to intranet php.intranet:9074
  start_nginx
  get /index.php 3
}
fault() {
  sed -i 's/10.60.0.2:9074/10.60.0.3:9074/' /etc/php-next.conf
  systemctl restart php-next
  listening 10.60.0.3:9074
  sed -i 's/^10.60.0.2 /10.60.0.3 /' /etc/hosts
}
drive() { get /index.php 4; }
