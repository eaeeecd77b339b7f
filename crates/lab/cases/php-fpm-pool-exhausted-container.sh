# about: nginx and PHP-FPM share a container; all children of the pool are busy
# expect: php-fpm-pool-exhausted
# forbid: backend-slow, backend-hung
# peer: unix:/run/php/panel.sock
# status: 504
BASE=http://172.30.0.5
MAX=5
setup() {
  pool panel /run/php/panel.sock 'pm = static' 'pm.max_children = 2'
  php_to panel unix:/run/php/panel.sock 'fastcgi_read_timeout 1s;'
  nginx_conf
  container web 172.30.0.5 'php-fpm8.2 -D; exec nginx -g "daemon off;"'
  listening 172.30.0.5:80
  sleep 0.3
  get / 3
}
drive() {
  hold '/wait.php?s=25' 2
  sleep 0.3
  together / 6
  hold / 4
  sleep 0.2
}
