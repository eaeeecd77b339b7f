# about: an image job without memory_limit makes a PHP child exceed the service's memory; the kernel kills that child
# expect: backend-oom-killed
# forbid: backend-crashed, backend-worker-timeout, php-fpm-pool-exhausted
# peer: 127.0.0.1:9085
# status: 502
# log: exited on signal 9 \(SIGKILL\)
setup() {
  mkdir -p /etc/systemd/system/php8.2-fpm.service.d
  printf '[Service]\nMemoryMax=120M\nMemorySwapMax=0\nOOMPolicy=continue\n' > /etc/systemd/system/php8.2-fpm.service.d/memory.conf
  systemctl daemon-reload
  pool photos 127.0.0.1:9085 'pm = static' 'pm.max_children = 3' 'php_admin_value[memory_limit] = -1'
  php
  php_to photos 127.0.0.1:9085
  echo '<?php $image = str_repeat("x", 400 << 20); echo strlen($image);' > /srv/photos/resize.php
  start_nginx
  get / 4
}
drive() { get /resize.php 2; sleep 0.5; get / 4; }
