# about: an export fills the small filesystem of fastcgi_temp_path for a slow reader; it is empty again when one looks
# expect: disk-full
# forbid: temp-path-permission, invalid-response
# status: 200
# log: has written only
setup() {
  mkdir -p /var/lib/nginx/fastcgi
  mount -t tmpfs -o size=3m,mode=777 tmpfs /var/lib/nginx/fastcgi
  pool ledger 127.0.0.1:9041 'pm = static' 'pm.max_children = 3'
  php
  php_to ledger 127.0.0.1:9041
  echo '<?php for ($i = 0; $i < 40; $i++) { echo str_repeat("x", 1 << 20); flush(); }' > /srv/ledger/export.php
  start_nginx
  get / 3
}
drive() { MAX=3 get /export.php 2 --limit-rate 1M; get / 3; }
