# about: somebody deleted the logs under nginx, which goes on writing to them
# expect: wrong-upstream-port
# peer: 127.0.0.1:8447
# status: 502
setup() {
  gunicorn maps 127.0.0.1:8448
  listening 127.0.0.1:8448
  proxy_to maps http://127.0.0.1:8447
  start_nginx
  rm /var/log/nginx/*.log
}
drive() { get / 6; }
