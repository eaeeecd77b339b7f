# about: a brace is missing in a site, and nginx was restarted: it stays down
# expect: nginx-not-running
# forbid: backend-not-running, config-reload-failed
# status: 000
# log: unexpected end of file, expecting "}"
setup() {
  gunicorn poems 127.0.0.1:8350 '--workers 2'
  listening 127.0.0.1:8350
  proxy_to poems http://127.0.0.1:8350
  start_nginx
  get / 4
}
fault() { sed -i '$d' /etc/nginx/conf.d/poems.conf; systemctl restart nginx || true; }
drive() { get / 4; }
