#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <heph/core/dump.hpp>
#include <heph/core/failure.hpp>
#include <heph/core/task.hpp>

namespace heph {

namespace {

using detail::await_site;
using detail::task_promise_base;

// Gives the place behind the bracket that closes the one at `opening`.
std::size_t behind_closing(std::string_view text, std::size_t opening) noexcept {
    int nested = 0;
    for (std::size_t at = opening; at < text.size(); ++at) {
        if (text[at] == '(' || text[at] == '<') { ++nested; }
        if (text[at] == ')' || text[at] == '>') { --nested; }
        if (nested == 0) { return at + 1; }
    }
    return text.size();
}

// Finds where the parameters begin: at the first parenthesis that is no part of a scope, as in
// `main()::` and `(anonymous namespace)::`, and not that of `operator()`.
std::size_t parameters_of(std::string_view signature) noexcept {
    std::size_t at = 0;
    while (at < signature.size()) {
        if (signature[at] != '(' && signature[at] != '<') {
            ++at;
            continue;
        }
        const std::size_t behind = behind_closing(signature, at);
        const std::string_view rest = signature.substr(behind);
        if (signature[at] == '(' && !rest.starts_with("::") && !rest.starts_with('(')) {
            return at;
        }
        at = behind;
    }
    return signature.size();
}

// `void ns::greeter(greeter(int)::_ZN2ns7greeterEi.Frame*)` of g++ and
// `task<> ns::greeter(int) [T = int]` of clang++ are both `ns::greeter`.
std::string_view short_name(std::string_view signature) noexcept {
    std::string_view name = signature.substr(0, parameters_of(signature));
    // What is before the last space outside of brackets is the return type.
    int nested = 0;
    for (std::size_t at = name.size(); at-- > 0;) {
        const char now = name[at];
        if (now == '>' || now == ')') { ++nested; }
        if (now == '<' || now == '(') { --nested; }
        if (now == ' ' && nested == 0) { return name.substr(at + 1); }
    }
    return name;
}

const await_site* site_in(std::uintptr_t driver) noexcept {
    if ((driver & 1U) == 0) { return nullptr; }
    return reinterpret_cast<const await_site*>(driver - 1U);
}

awaiting_task describe(const await_site* site, unsigned depth) noexcept {
    awaiting_task one;
    one.depth = depth;
    if (site != nullptr) {
        one.function = short_name(site->where.function_name());
        one.file = site->where.file_name();
        one.line = site->where.line();
    }
    return one;
}

const task_promise_base& caller_of(const task_promise_base& child) noexcept {
    return task_promise_base::in_frame(task_promise_base::frame_in(child.link));
}

}  // namespace

std::string to_string(const awaiting_task& one) {
    switch (one.now) {
        case awaiting_task::state::lazy: return "a task that was not started";
        case awaiting_task::state::finished: return "a task that is finished";
        case awaiting_task::state::running:
            if (one.function.empty()) { return "a running task"; }
            break;
        case awaiting_task::state::waiting: break;
    }
    std::string text;
    if (one.function.empty()) {
        text = "a task built without names";
    } else {
        text = one.function;
        text += " at ";
        text += one.file;
        text += ':';
        text += std::to_string(one.line);
    }
    if (one.now == awaiting_task::state::running) { text += ", running"; }
    if (!one.waits_for.empty()) {
        text += ", waits for ";
        text += one.waits_for;
    }
    return text;
}

namespace detail {

void task_stack_visitor::visit_callers(const task_promise_base& innermost) {
    std::vector<const await_site*> sites;
    for (const task_promise_base* each = &innermost; each->root != each; each = &caller_of(*each)) {
        sites.push_back(site_in(each->driver));
    }
    std::for_each(sites.rbegin(), sites.rend(),
                  [this](const await_site* site) { report(describe(site, depth_)); });
}

void task_stack_visitor::visit(const task_promise_base* root) {
    awaiting_task none;
    none.depth = depth_;
    const bool has_ended = root == nullptr || root->has_failed();
    if (has_ended || root->root == nullptr) {
        none.now = has_ended ? awaiting_task::state::finished : awaiting_task::state::lazy;
        report(none);
        return;
    }
    if (!task_promise_base::names_leaf(root->link)) {
        none.now = awaiting_task::state::running;
        report(none);
        return;
    }
    visit_callers(task_promise_base::in_frame(task_promise_base::leaf_in(root->link).waiting));
    const await_site* site = site_in(root->driver);
    awaiting_task last = describe(site, depth_);
    const std::string awaited = site != nullptr ? type_name(*site->awaited) : std::string();
    last.waits_for = awaited;
    report(last);
    if (site != nullptr && site->visit != nullptr) {
        ++depth_;
        site->visit(site->future, *this);
        --depth_;
    }
}

void task_stack_visitor::visit_running(const task_promise_base& innermost, const await_site* here) {
    visit_callers(innermost);
    awaiting_task last = describe(here, depth_);
    last.now = awaiting_task::state::running;
    report(last);
}

std::string dump_running(const task_promise_base& innermost, const await_site* here) {
    std::string text;
    const auto add = [&text](const awaiting_task& one) { text += to_string(one) + '\n'; };
    sink_visitor<decltype(add)> visitor(add);
    visitor.visit_running(innermost, here);
    return text;
}

}  // namespace detail

}  // namespace heph

extern "C" void heph_dump_task(const void* frame) {
    using namespace heph;
    const auto print = [](const awaiting_task& one) {
        (void)std::fprintf(stderr, "%*s%s\n", static_cast<int>(2 * one.depth), "",
                           to_string(one).c_str());
    };
    detail::sink_visitor<decltype(print)> visitor(print);
    visitor.visit(frame == nullptr
                      ? nullptr
                      : &detail::task_promise_base::in_frame(
                            std::coroutine_handle<>::from_address(const_cast<void*>(frame))));
}
