# about: a busy PHP site near its limits: every child at work, 404s and redirects, but each request is answered
# expect: healthy
# status: 200
setup() {
  pool market /run/php/market.sock 'pm = static' 'pm.max_children = 4'
  php
  php_to market unix:/run/php/market.sock
  start_nginx
}
drive() { get / 20; together '/wait.php?s=0.3' 12; get /wp-login.html 5; get /index.php/a/b 5; all_answered; }
