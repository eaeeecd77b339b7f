# about: reloads of nginx and of the application's workers, and a rotation of the logs, under requests
# expect: healthy
# status: 200
setup() {
  gunicorn bakery unix:/run/bakery/app.sock '--workers 2' RuntimeDirectory=bakery
  listening /run/bakery/app.sock
  proxy_to bakery http://unix:/run/bakery/app.sock
  start_nginx
}
drive() {
  get / 10
  nginx -s reload
  get / 10
  for log in access error; do mv /var/log/nginx/$log.log /var/log/nginx/$log.log.1; done
  nginx -s reopen
  get / 10
  systemctl kill -s HUP --kill-who=main bakery
  get / 10
  nginx -s reload
  get / 10
  all_answered
}
