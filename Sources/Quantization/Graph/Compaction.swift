import Model

extension Model {
    /// The model without the tensors, buffers and operator codes that nothing refers to any more. Everything else keeps
    /// its order.
    package func compacted() -> Model {
        var model = self
        for graph in subgraphs.indices { model.removeUnusedTensors(graph) }
        model.removeUnusedBuffers()
        model.removeUnusedOperatorCodes()
        return model
    }

    private mutating func removeUnusedTensors(_ graph: Int) {
        let used = usedTensors(graph)
        guard used.contains(false) else { return }
        let place = newPlaces(used)
        subgraphs[graph].tensors = kept(subgraphs[graph].tensors, used)
        subgraphs[graph].inputs = moved(subgraphs[graph].inputs, place)
        subgraphs[graph].outputs = moved(subgraphs[graph].outputs, place)
        for index in subgraphs[graph].operators.indices {
            subgraphs[graph].operators[index].inputs = moved(subgraphs[graph].operators[index].inputs, place)
            subgraphs[graph].operators[index].outputs = moved(subgraphs[graph].operators[index].outputs, place)
            subgraphs[graph].operators[index].intermediates = moved(
                subgraphs[graph].operators[index].intermediates, place)
        }
        for index in subgraphs[graph].tensors.indices {
            if let details = subgraphs[graph].tensors[index].quantization?.details {
                subgraphs[graph].tensors[index].quantization?.details = details.moved(place)
            }
        }
        for index in signatures.indices where signatures[index].subgraph == graph {
            for entry in signatures[index].inputs.indices {
                signatures[index].inputs[entry].tensor = place[signatures[index].inputs[entry].tensor]
            }
            for entry in signatures[index].outputs.indices {
                signatures[index].outputs[entry].tensor = place[signatures[index].outputs[entry].tensor]
            }
        }
    }

    private func usedTensors(_ graph: Int) -> [Bool] {
        let subgraph = subgraphs[graph]
        var used = [Bool](repeating: false, count: subgraph.tensors.count)
        func mark(_ tensors: [Int]) { for tensor in tensors where tensor >= 0 { used[tensor] = true } }
        mark(subgraph.inputs)
        mark(subgraph.outputs)
        for op in subgraph.operators {
            mark(op.inputs)
            mark(op.outputs)
            mark(op.intermediates)
        }
        for signature in signatures where signature.subgraph == graph {
            mark((signature.inputs + signature.outputs).map { $0.tensor })
        }
        for (index, tensor) in subgraph.tensors.enumerated() where used[index] {
            mark(tensor.quantization?.details?.tensors ?? [])
        }
        return used
    }

    /// Tensors without data all name buffer 0.
    private mutating func removeUnusedBuffers() {
        for graph in subgraphs.indices {
            for tensor in subgraphs[graph].tensors.indices {
                let buffer = subgraphs[graph].tensors[tensor].buffer
                if buffer != 0, buffers[buffer].data == nil { subgraphs[graph].tensors[tensor].buffer = 0 }
            }
        }
        var used = [Bool](repeating: false, count: buffers.count)
        if !used.isEmpty { used[0] = true }
        for subgraph in subgraphs { for tensor in subgraph.tensors { used[tensor.buffer] = true } }
        for entry in metadata { used[entry.buffer] = true }
        for buffer in metadataBuffers where buffer >= 0 && Int(buffer) < used.count { used[Int(buffer)] = true }
        guard used.contains(false) else { return }
        let place = newPlaces(used)
        buffers = kept(buffers, used)
        for graph in subgraphs.indices {
            for tensor in subgraphs[graph].tensors.indices {
                subgraphs[graph].tensors[tensor].buffer = place[subgraphs[graph].tensors[tensor].buffer]
            }
        }
        for index in metadata.indices { metadata[index].buffer = place[metadata[index].buffer] }
        metadataBuffers = metadataBuffers.map { $0 >= 0 && Int($0) < place.count ? Int32(place[Int($0)]) : $0 }
    }

    private mutating func removeUnusedOperatorCodes() {
        var used = [Bool](repeating: false, count: operatorCodes.count)
        for subgraph in subgraphs { for op in subgraph.operators { used[op.opcode] = true } }
        guard used.contains(false) else { return }
        let place = newPlaces(used)
        operatorCodes = kept(operatorCodes, used)
        for graph in subgraphs.indices {
            for op in subgraphs[graph].operators.indices {
                subgraphs[graph].operators[op].opcode = place[subgraphs[graph].operators[op].opcode]
            }
        }
    }
}

extension QuantizationDetails {
    /// The tensors that hold scales and zero points.
    fileprivate var tensors: [Int] {
        switch self {
        case .custom: []
        case .blockwise(let scales, let zeroPoints, _): [scales, zeroPoints]
        case .multiAxis(let scales, let zeroPoints, _, _): [scales, zeroPoints]
        }
    }

    fileprivate func moved(_ place: [Int]) -> QuantizationDetails {
        func to(_ tensor: Int) -> Int { tensor < 0 ? tensor : place[tensor] }
        return switch self {
        case .custom: self
        case .blockwise(let scales, let zeroPoints, let size):
            .blockwise(scales: to(scales), zeroPoints: to(zeroPoints), blockSize: size)
        case .multiAxis(let scales, let zeroPoints, let size, let dimensions):
            .multiAxis(scales: to(scales), zeroPoints: to(zeroPoints), blockSize: size, dimensions: dimensions)
        }
    }
}

/// Where each index goes when the unused ones are dropped.
private func newPlaces(_ used: [Bool]) -> [Int] {
    var place: [Int] = []
    var next = 0
    for isUsed in used {
        place.append(next)
        if isUsed { next += 1 }
    }
    return place
}

private func kept<T>(_ items: [T], _ used: [Bool]) -> [T] {
    items.indices.filter { used[$0] }.map { items[$0] }
}

private func moved(_ tensors: [Int], _ place: [Int]) -> [Int] { tensors.map { $0 < 0 ? $0 : place[$0] } }
