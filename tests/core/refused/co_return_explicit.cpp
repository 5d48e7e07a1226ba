// A number, where the coroutine gives a container: it would have become so many elements.

#include <vector>

#include <heph/core/task.hpp>

heph::task<std::vector<int>> squares() { co_return 5; }

int main() { return squares().started() ? 1 : 0; }
