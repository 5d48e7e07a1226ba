#include <heph/core/either.hpp>
#include <heph/rt/stopping.hpp>

#include "remote/nodes.hpp"

namespace heph::remote::testing {

task<> proxy::accept_all(rt::worker worker, rt::net::tcp_listener listener,
                         inbox::oneshot_receiver<bool> closing, std::shared_ptr<shared> with) {
    for (;;) {
        auto first = co_await either(listener.accept(), rt::stopping(), closing.recv());
        if (first.index() != 0) { co_return; }
        auto& accepted = std::get<0>(first);
        if (!accepted || with->refuses) { continue; }
        auto connected = co_await rt::net::tcp_stream::connect(with->to);
        if (!connected) { continue; }
        ++with->connections;
        const auto one = std::make_shared<rt::net::tcp_stream>(std::move(*accepted));
        const auto other = std::make_shared<rt::net::tcp_stream>(std::move(*connected));
        with->streams.push_back(one);
        with->streams.push_back(other);
        worker.spawn_future(forward(one, other, with));
        worker.spawn_future(forward(other, one, with));
    }
}

task<> proxy::forward(stream_pointer from, stream_pointer to, std::shared_ptr<shared> with) {
    for (;;) {
        auto first = co_await either(from->next(), rt::stopping());
        if (first.index() != 0) { break; }
        auto& received = std::get<0>(first);
        if (!received || received->empty()) { break; }
        if (with->swallows) { continue; }
        auto copied = rt::buffer::copy_of(received->view());
        const auto sent = co_await to->send_all(std::move(copied));
        if (!sent) { break; }
    }
    to->shutdown(rt::net::shutdown_how::both);
}

}  // namespace heph::remote::testing
