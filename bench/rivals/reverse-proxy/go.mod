module restart-controller.dev/bench/reverse-proxy

go 1.26.0
