# about: nginx keeps 1 MiB of an export for slow readers; PHP-FPM ends the script that waits for them
# expect: proxy-temp-file-limit
# also: backend-worker-timeout
# forbid: backend-crashed, disk-full
# status: 200
# log: while reading upstream
LOG=timing
setup() {
  pool census 127.0.0.1:9061 'pm = static' 'pm.max_children = 3' 'request_terminate_timeout = 2s'
  php
  php_to census 127.0.0.1:9061 'fastcgi_max_temp_file_size 1m;'
  echo '<?php for ($i = 0; $i < 24; $i++) { echo str_repeat("x", 1 << 20); }' > /srv/census/export.php
  start_nginx
  get / 3
  get /export.php 3
}
drive() { MAX=5 together /export.php 2 --limit-rate 1M; get / 3; get /export.php 1; }
