# about: Upgrade and Connection were fixed for all sites, for the sake of one WebSocket; ordinary pages are dropped
# expect: upgrade-header-mismatch
# forbid: backend-crashed, backend-aborts-request
# peer: 127.0.0.1:8591
# status: 502
# log: upgrade refused
setup() {
  node portal 127.0.0.1:8591
  listening 127.0.0.1:8591
  proxy_to portal http://127.0.0.1:8591
  start_nginx
  get / 3
}
fault() {
  sed -i '1i proxy_http_version 1.1;\nproxy_set_header Upgrade websocket;\nproxy_set_header Connection "upgrade";' /etc/nginx/conf.d/portal.conf
  sed -i '/proxy_set_header Host/d' /etc/nginx/conf.d/portal.conf
  reload_nginx
}
drive() { get / 3; get /news 3; }
