# about: the application itself refuses large reports with 413; the combined log does not say that it was the application
# expect: healthy
# status: 413
setup() {
  gunicorn reports 127.0.0.1:8566
  listening 127.0.0.1:8566
  proxy_to reports http://127.0.0.1:8566
  start_nginx
  get / 6
}
drive() { get /status/413 3; get / 6; }
