# about: limit_conn lets three requests of the whole site run at a time; the others get 429; asked without root
# expect: rate-limited
# forbid: php-fpm-pool-exhausted, upstream-max-conns-reached
# status: 429
# log: limiting connections by zone
# user: www-data
LOG=json
setup() {
  pool films 127.0.0.1:9062 'pm = static' 'pm.max_children = 8'
  php
  php_to films 127.0.0.1:9062 'limit_conn site 3; limit_conn_status 429;'
  sed -i '1i limit_conn_zone $server_name zone=site:1m;' /etc/nginx/conf.d/films.conf
  start_nginx
  get / 2
}
drive() { together '/wait.php?s=0.8' 8; get / 3; }
