# about: a PHP page sets cookies beyond fastcgi_buffer_size
# expect: response-header-too-big
# forbid: invalid-response, backend-crashed
# peer: unix:/run/php/tombola.sock
# status: 502
# log: upstream sent too big header while reading response header
setup() {
  pool tombola /run/php/tombola.sock 'pm = static' 'pm.max_children = 2'
  php
  php_to tombola unix:/run/php/tombola.sock 'fastcgi_buffer_size 4k; fastcgi_buffers 8 4k;'
  echo '<?php for ($i = 0; $i < 40; $i++) setcookie("prize$i", str_repeat("x", 150)); echo "won\n";' > /srv/tombola/win.php
  start_nginx
  get / 4
}
drive() { get /win.php 4; get / 4; }
