# about: a nightly reload of PHP-FPM ends its children in the middle of long requests, since process_control_timeout is 0
# expect: backend-restarting
# forbid: backend-crashed, backend-aborts-request, backend-worker-recycled
# peer: unix:/run/php/ballet.sock
# status: 502
# log: recv\(\) failed \(104: Connection reset by peer\) while reading response header
LOG=timing
setup() {
  pool ballet /run/php/ballet.sock 'pm = static' 'pm.max_children = 4'
  php
  listening /run/php/ballet.sock
  php_to ballet unix:/run/php/ballet.sock
  start_nginx
  get /index.php 4
}
drive() { together '/wait.php?s=3' 3 & sleep 0.8; systemctl reload php8.2-fpm; wait; sleep 0.5; get /index.php 3; }
