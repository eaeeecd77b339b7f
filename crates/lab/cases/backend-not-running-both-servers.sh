# about: both servers of the group are stopped; soon nginx has no live one left to try, and logs little else
# expect: backend-not-running
# forbid: passive-health-ejection, upstream-servers-all-down
# status: 502
# log: no live upstreams while connecting to upstream
LOG=json
setup() {
  gunicorn shop-a 127.0.0.1:8171 '--workers 2'
  gunicorn shop-b 127.0.0.1:8172 '--workers 2'
  listening 127.0.0.1:8171
  listening 127.0.0.1:8172
  printf 'upstream shop {\n  server 127.0.0.1:8171;\n  server 127.0.0.1:8172;\n}\n' | vhost group
  proxy_to shop http://shop
  start_nginx
  get / 6
}
fault() { systemctl stop shop-a shop-b; }
drive() { get / 12; }
