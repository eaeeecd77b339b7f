# about: nginx dialled a wrong port; the file was mended and nginx reloaded, all is well since, but the logs still tell
# expect: wrong-upstream-port
# also: backend-not-running
# forbid: wrong-upstream-port, backend-not-running, config-not-reloaded
# peer: 127.0.0.1:8404
# status: 502
setup() {
  serve ferry 127.0.0.1:8405
  listening 127.0.0.1:8405
  proxy_to ferry http://127.0.0.1:8404
  start_nginx
  get / 6
}
drive() { sleep 1.2; sed -i s/8404/8405/ /etc/nginx/conf.d/ferry.conf; reload_nginx; get / 12; }
