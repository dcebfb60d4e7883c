import Model
import Operators

extension Graph {
    /// Loops write a list of steps as what is before step i, the new step, and what is behind it, joined: CONCATENATION of
    /// SLICE(list, 0, [i, -1, ...]), the step, and SLICE(list, [i + n, 0, ...], -1). The shapes of the parts depend on i,
    /// that of the list does not: DYNAMIC_UPDATE_SLICE of the list takes their place. Its start, [i, -1, ...], is moved
    /// inside the list. Expects the shapes that the file states.
    mutating func joinListWrites() {
        countReads()
        let counts = readCounts
        var isGone = [Bool](repeating: false, count: nodes.count)
        for index in nodes.indices where nodes[index].definition.code == .concatenation {
            let join = nodes[index]
            guard join.options.int(0) == 0, join.options.int(1) == 0, join.inputs.count == 3, join.outputs.count == 1,
                let before = part(join.inputs[0], counts), let behind = part(join.inputs[2], counts),
                nodes[before].inputs[0] == nodes[behind].inputs[0]
            else { continue }
            let (list, step) = (nodes[before].inputs[0], join.inputs[1])
            let (shape, stepShape) = (tensors[list].shape, tensors[step].shape)
            guard shape.count == stepShape.count, shape.dropFirst() == stepShape.dropFirst(), shape.count > 1,
                tensors[join.outputs[0]].shape == shape, stepShape[0] <= shape[0],
                numbers(nodes[before].inputs[1]) == shape.map({ _ in 0 }),
                numbers(nodes[behind].inputs[2]) == shape.map({ _ in -1 }),
                let size = place(nodes[before].inputs[2], rest: -1),
                let begin = place(nodes[behind].inputs[1], rest: 0), isSum(begin, of: size, and: stepShape[0]),
                let definition = OperatorRegistry.definition(OperatorCode(.dynamicUpdateSlice))
            else { continue }
            nodes[index] = Node(
                place: join.place, isInlined: join.isInlined, name: "DYNAMIC_UPDATE_SLICE", version: 1,
                definition: definition, inputs: [list, step, nodes[before].inputs[2]], outputs: join.outputs)
            isGone[before] = true
            isGone[behind] = true
        }
        nodes = nodes.indices.filter { !isGone[$0] }.map { nodes[$0] }
    }

    @inline(never)
    private func producer(_ tensor: Int) -> Int? { nodes.firstIndex { $0.outputs.contains(tensor) } }

    /// The SLICE that computes a tensor which is read once.
    @inline(never)
    private func part(_ tensor: Int, _ counts: [Int]) -> Int? {
        guard tensor >= 0, counts[tensor] == 1, let index = producer(tensor), nodes[index].definition.code == .slice,
            nodes[index].inputs.count == 3, nodes[index].inputs.allSatisfy({ $0 >= 0 })
        else { return nil }
        return index
    }

    @inline(never)
    private func numbers(_ tensor: Int) -> [Int]? { tensor < 0 ? nil : tensors[tensor].integers }

    /// The number i of [i, rest, rest, ...].
    @inline(never)
    private func place(_ tensor: Int, rest: Int) -> Int? {
        guard let index = producer(tensor), nodes[index].definition.code == .concatenation,
            nodes[index].inputs.count == 2, numbers(nodes[index].inputs[1])?.allSatisfy({ $0 == rest }) == true,
            let first = producer(nodes[index].inputs[0]), nodes[first].definition.code == .reshape
        else { return nil }
        return nodes[first].inputs.first
    }

    @inline(never)
    private func isSum(_ sum: Int, of tensor: Int, and number: Int) -> Bool {
        guard let index = producer(sum), nodes[index].definition.code == .add, nodes[index].inputs.count == 2 else {
            return false
        }
        let inputs = nodes[index].inputs
        return inputs[0] == tensor && numbers(inputs[1]) == [number]
            || inputs[1] == tensor && numbers(inputs[0]) == [number]
    }
}
