# about: nginx keeps no log at all; a page of PHP behind TLS takes longer than its timeout, with nginx and without
# expect: backend-slow
# forbid: php-fpm-pool-exhausted, backend-hung, upstream-returned-error
# peer: unix:/run/php/almanac.sock
# status: 504
# args: --url https://almanac.example.org:8443/wait.php?s=2
setup() {
  pool almanac /run/php/almanac.sock 'pm = static' 'pm.max_children = 6'
  php
  certificate almanac.example.org
  php_to almanac unix:/run/php/almanac.sock 'fastcgi_read_timeout 1s;'
  sed -i 's|listen 80;|listen 80; listen 8443 ssl; ssl_certificate /srv/tls/almanac.example.org.pem; ssl_certificate_key /srv/tls/almanac.example.org.pem;|' /etc/nginx/conf.d/almanac.conf
  LOG=off ERROR_LOG=/dev/null nginx_conf
  touch /lab/nginx.conf
  start_nginx
  get / 3
}
drive() { BASE=https://127.0.0.1:8443 get '/wait.php?s=2' 2; get / 3; }
