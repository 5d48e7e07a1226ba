// Links against the component, and has a node of Boost.Asio find an actor of its own.

#include <span>
#include <string_view>

#include <boost/asio/io_context.hpp>

#include <heph/core/asio.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/remote/asio.hpp>

struct word {
    int number = 0;
};
HEPH_MESSAGE(word, "example.word", 1, number)

heph::task<> listener(heph::asio_context<word> ctx) { (void)co_await ctx.receive(); }

heph::task<> say(heph::remote::node node) {
    const auto found = co_await node.find<word>("a", "listener");
    const word one{1};
    if (found) { (void)co_await found->send(one); }
    node.stop();
}

int main() {
    const std::string_view words = "for an example only";
    const auto secret = heph::rt::tls::secret::copy_of(std::as_bytes(std::span(words)));
    boost::asio::io_context context;
    const heph::remote::options settings("a", secret.value());
    auto node = heph::remote::asio::start(context.get_executor(), settings);
    if (!node) { return heph::rt::report(node.error()); }
    const heph::asio_runtime actors(context.get_executor());
    node->publish("listener", actors.spawn(heph::no_supervisor(), heph::actor_fn(listener)));
    actors.spawn_future(say(*node));
    context.run();
}
