# How `incident.json.gz` was recorded: as a case of the lab, by `why502 capture` while the visitors still waited. Left out of
# the record afterwards, since they tell of the recording machine: kernel messages from before that host was booted, packages,
# idle units, the journal of booting, the visitors' curl.
#
# about: a promotion brings more visitors to the checkout than pm.max_children allows
# expect: php-fpm-pool-exhausted
# log: server reached pm.max_children
MAX=4
setup() {
  pool shop /run/php/shop.sock 'pm = dynamic' 'pm.max_children = 10' 'pm.start_servers = 4' \
    'pm.min_spare_servers = 1' 'pm.max_spare_servers = 4' 'listen.backlog = 16'
  php
  php_to shop unix:/run/php/shop.sock 'fastcgi_read_timeout 3s;'
  for page in cart checkout; do cp /srv/shop/wait.php /srv/shop/$page.php; done
  start_nginx
  get / 60
}
drive() {
  local i
  get /index.php 140 -H 'Host: shop.example.org'
  hold '/checkout.php?s=40' 40 -H 'Host: shop.example.org'
  sleep 7
  for i in 1 2 3; do
    hold '/checkout.php?s=40' 12 -H 'Host: shop.example.org'
    get /cart.php 7 -H 'Host: shop.example.org'
    sleep 1.5
  done
  hold '/checkout.php?s=40' 12 -H 'Host: shop.example.org'
  get /cart.php 3 -H 'Host: shop.example.org'
  sleep 0.3
}
