// Two tasks of heph-core take turns on one thread: one asks, one answers. Each question carries
// the sender of a one-shot channel, to answer with.

#include <iostream>
#include <utility>

#include <heph/core/block_on.hpp>
#include <heph/core/join.hpp>
#include <heph/core/task.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/inbox/oneshot.hpp>

struct question {
    question(int asked, heph::inbox::oneshot_sender<int> to)
        : number(asked), answer(std::move(to)) {}
    int number;
    heph::inbox::oneshot_sender<int> answer;
};

heph::task<> answer_all(heph::inbox::receiver<question> questions) {
    while (auto next = co_await questions.recv()) {
        (void)std::move(next->answer).try_send(next->number * next->number);
    }
    std::cout << "no more questions\n";
}

heph::task<> ask(heph::inbox::sender<question> questions) {
    for (int number = 1; number <= 3; ++number) {
        auto [answer, receiver] = heph::inbox::oneshot<int>();
        const auto sent = co_await questions.emplace(number, std::move(answer));
        if (!sent) { co_return; }  // nobody answers any more
        if (const auto square = co_await receiver.recv()) {
            std::cout << number << " squared is " << *square << '\n';
        }
    }
}

int main() {
    auto [sender, receiver] = heph::inbox::channel<question>(1);
    heph::block_on(heph::join(ask(std::move(sender)), answer_all(std::move(receiver))));
}
