# about: an application answers 500 to one page of its own; asked for by its URL, that is told and no gateway is accused
# expect: healthy
# status: 500
# args: --url http://127.0.0.1/status/500
setup() {
  node quarry 127.0.0.1:8262
  listening 127.0.0.1:8262
  proxy_to quarry http://127.0.0.1:8262
  start_nginx
  get / 5
}
drive() { get /status/500 2; get / 5; }
