# about: max_conns=2 of the only server lets two slow pages in; the children would have room for more
# expect: upstream-max-conns-reached
# forbid: passive-health-ejection, upstream-servers-all-down, php-fpm-pool-exhausted
# status: 502
# log: no live upstreams
LOG=timing
setup() {
  pool exam 127.0.0.1:9071 'pm = static' 'pm.max_children = 6'
  php
  php_to exam exam
  sed -i '1i upstream exam { zone exam 64k; server 127.0.0.1:9071 max_conns=2; }' /etc/nginx/conf.d/exam.conf
  start_nginx
  get / 4
}
drive() { hold '/wait.php?s=8' 2; sleep 0.3; get / 5; }
