import { ModelpressError, type StageDefinition } from '@modelpress/core';
import type { Service } from '@modelpress/service';
import { Controller, Get, Inject, Param } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { Endpoint } from '../common/endpoint';
import { SERVICE } from '../tokens';
import { stageTypeView } from '../views/results';

type StageType = z.output<typeof stageTypeView>;

const describe = ({ type, version, queue, summary, needs, makesModel, schema }: StageDefinition): StageType => ({
  type,
  version,
  queue,
  summary,
  needs: {
    model: needs.model,
    baseline: needs.baseline === true,
    teachers: needs.teachers === true,
    datasets: [...needs.datasets],
    optionalDatasets: [...(needs.optionalDatasets ?? [])],
  },
  makesModel,
  schema: { ...z.toJSONSchema(schema, { io: 'input' }) },
});

@ApiTags('stages')
@Controller('v1/stages')
export class StagesController {
  constructor(@Inject(SERVICE) private readonly service: Service) {}

  @Endpoint({
    summary: 'Stage types with the JSON Schema of their settings',
    access: 'viewer',
    response: z.array(stageTypeView),
  })
  @Get()
  list(): StageType[] {
    return Object.values(this.service.stages).map(describe);
  }

  @Endpoint({ summary: 'A stage type', access: 'viewer', response: stageTypeView })
  @Get(':type')
  get(@Param('type') type: string): StageType {
    const { stages } = this.service;
    const definition = Object.hasOwn(stages, type) ? stages[type] : undefined;
    if (definition !== undefined) return describe(definition);
    throw new ModelpressError('not-found', 'stage.not-found', `There is no stage type "${type}".`);
  }
}
