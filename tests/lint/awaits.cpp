// What tools/lint has to find, and what it has to leave alone. Not part of any program: each line
// that ends with the comment `found` is wrong on purpose.

#include <string>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>

namespace {

struct ping {
    std::string text;
    std::string other = {};
};

class pong {
public:
    explicit pong(std::string text) : text_(std::move(text)) {}

private:
    std::string text_;
};

struct point {
    int x;
    int y;
};

class reference {
public:
    heph::task<> send(ping message);
    heph::task<> send(pong message);
    heph::task<> send_many(std::vector<std::string> messages);
};

heph::task<bool> decide();
heph::task<std::string> text();
heph::task<int> number();
void take(const ping& message, int value);

template <typename Function>
heph::task<> call(Function function);

heph::task<> bad(reference ref, std::string name) {
    co_await ref.send(ping{name});                              // found
    co_await ref.send({.text = name});                          // found
    co_await ref.send_many({name, name});                       // found
    co_await ref.send_many(std::vector<std::string>{name});     // found
    ping made{name, co_await text()};                           // found
    take(ping{name}, co_await number());                        // found
    co_await call([name] { return name.size(); });              // found
    co_await (name.empty() ? ref.send(made) : ref.send(made));  // No await in it.
    const int chosen = name.empty() ? co_await number() : 3;    // found
    if (co_await decide() ? chosen > 2 : chosen < 2) {}         // found
}

// These declare no variable, so that no condition may await.
heph::task<> bad_if() {
    if (co_await decide()) { co_return; }  // found
}
heph::task<int> bad_if_not(reference) {
    if (!co_await decide()) { co_return 1; }                 // found
    if (true && (co_await text()).empty()) { co_return 2; }  // found
    co_return 3;
}
heph::task<> bad_loops() {
    while (co_await decide()) {}   // found
    while (!co_await decide()) {}  // found
    do {                           // found
    } while (co_await number() > 3);
    for (; co_await decide();) {}  // found
    switch (co_await number()) {   // found
        default: break;
    }
}
heph::task<> bad_in_lambda(reference ref) {
    const auto inner = [](reference) -> heph::task<> {
        if (co_await decide()) { co_return; }  // found
    };
    co_await inner(std::move(ref));
}

heph::task<> good_if() {
    if (const bool yes = co_await decide()) { (void)yes; }
    while (!co_await decide()) {}
}
heph::task<> good_loop() {
    for (int i = 0; i < 3; ++i) {
        if (!co_await decide()) { break; }
    }
}
heph::task<> good_body() {
    if (true) { co_await decide(); }
}

heph::task<> good(reference ref, std::string name) {
    ping message{name};
    co_await ref.send(std::move(message));
    co_await ref.send(pong(name));
    const int count = name.empty() ? 1 : 2;
    const point origin{count, 0};
    co_await call([origin] { return origin.x; });
    std::vector<std::string> names{name, name};
    co_await ref.send_many(std::move(names));
    const bool decided = co_await decide();
    if (decided) { take(ping{name}, count); }
    int value{co_await number()};
    co_await call([](int) { return ping{"never awaited"}; });
    (void)value;
}

template <typename T>
heph::task<> bad_when_instantiated(reference ref, T name) {
    co_await ref.send(ping{name});  // found
}

}  // namespace

heph::task<> all(reference ref, std::string name) {
    co_await bad(ref, name);
    co_await good(ref, name);
    co_await bad_when_instantiated(ref, std::move(name));
}
