# about: nginx was stopped by hand; the application and the configuration are fine
# expect: nginx-not-running
# forbid: backend-not-running
# status: 000
# fix: yes
setup() {
  serve lake 127.0.0.1:8352
  listening 127.0.0.1:8352
  proxy_to lake http://127.0.0.1:8352
  start_nginx
  get / 4
}
fault() { systemctl stop nginx; }
drive() { get / 4; }
check() { served /; }
