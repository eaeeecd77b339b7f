# about: the firewall of the PHP machine drops what comes to its port since this morning; this host filters nothing
# expect: upstream-blackholed
# forbid: firewall-drop, no-route-to-upstream, backend-hung, listen-queue-overflow
# peer: 10.60.0.2:9085
# status: 504
# log: 110: Connection timed out\) while connecting to upstream
setup() {
  neighbour
  printf '[global]\nerror_log = /var/log/php-far.log\n[far]\nuser = www-data\nlisten = 10.60.0.2:9085\npm = static\npm.max_children = 2\n' > /etc/php-far.conf
  daemon php-far '/usr/sbin/php-fpm8.2 --nodaemonize --fpm-config /etc/php-far.conf' "$NEXT_DOOR"
  listening 10.60.0.2:9085
  php_to far 10.60.0.2:9085 'fastcgi_connect_timeout 1s;'
  start_nginx
  get /index.php 3
}
fault() {
  there nft add table inet morning
  there nft 'add chain inet morning in { type filter hook input priority 0; }'
  there nft add rule inet morning in tcp dport 9085 drop
}
drive() { together /index.php 4; }
