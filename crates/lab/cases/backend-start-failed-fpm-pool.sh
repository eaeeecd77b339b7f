# about: a pool file names a user that was deleted, so PHP-FPM does not come back from its restart
# expect: backend-start-failed
# forbid: backend-not-running, unix-socket-wrong-path, unix-socket-permission
# peer: unix:/run/php/forum.sock
# status: 502
# log: cannot get uid for user 'forumadmin'
setup() {
  pool forum /run/php/forum.sock 'pm = ondemand' 'pm.max_children = 6'
  php
  php_to forum unix:/run/php/forum.sock
  start_nginx
  get / 3
}
fault() {
  sed -i 's/^user = .*/user = forumadmin/' /etc/php/8.2/fpm/pool.d/forum.conf
  systemctl restart php8.2-fpm || true
}
drive() { get / 4; get /index.php 2; }
